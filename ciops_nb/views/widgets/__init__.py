"""What a person clicks on in a notebook. Each widget holds state and calls tools or recipes; what is computed is in
plain functions beside it. ``twin`` is what each of them is where no kernel runs.
"""
