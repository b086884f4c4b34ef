"""Puts the stages and flows into the wheel, inside the package: their names are too common for the
top level of other people's environments. `lessonpipe stage` and `lessonpipe flows` find them there.
"""

from setuptools import find_packages, setup

INSIDE = "lessonpipe._pipeline"
ROOMS = ("flows", "lessons", "tasks")

setup(
    packages=[
        *find_packages(include=["lessonpipe*"]),
        *(f"{INSIDE}.{name}" for room in ROOMS for name in find_packages(include=[f"{room}*"])),
    ],
    package_dir={f"{INSIDE}.{room}": room for room in ROOMS},
)
