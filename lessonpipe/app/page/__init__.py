"""The page: restore pictures in a browser, on this machine.

Built on Gradio, whose analytics, fonts from the web and links to its own site are off.
"""
