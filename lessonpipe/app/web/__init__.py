"""A model as a folder of static files: a page that restores in any browser, without a network.

`static/` is the page. onnxruntime-web, which runs the model there, comes from npm.
"""
