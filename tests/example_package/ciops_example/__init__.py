"""A package that offers a tool and a recipe to ciops_nb."""
