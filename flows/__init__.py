"""When things are done: Prefect runs the stages of dvc.yaml, through DVC."""
