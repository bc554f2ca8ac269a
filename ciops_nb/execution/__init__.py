"""What happens around a call: one small layer a file, put together in ``stack``. No tool is named here."""
