"""What processes of `tests.forked` have loaded when they start."""

import dvclive  # noqa: F401
import ray.train.torch
import ray.tune  # noqa: F401
import timm  # noqa: F401
import torch._dynamo  # noqa: F401

import tasks.__main__
import tasks.fit_gan
import tasks.pipeline.launch
import tasks.pretrain_critic
import tasks.pretrain_generator  # noqa: F401
