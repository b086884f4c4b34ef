"""Your own damage: a step is a function here, and a line in params.yaml. docs/your-own-damage.md
shows how. An edit of this file degrades the photos anew.
"""
