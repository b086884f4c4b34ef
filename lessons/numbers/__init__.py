"""Human numbers: a language model of counting, from three unrolled steps to one that looks back."""
