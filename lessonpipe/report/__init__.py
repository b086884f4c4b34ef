"""What people look at: scores, curves, grids, and the page that holds them."""
