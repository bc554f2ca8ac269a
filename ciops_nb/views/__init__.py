"""What a person sees: layout, pictures and reports. Nothing below imports this package."""
