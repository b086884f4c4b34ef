"""The table of an ablation: differences from the first arm, bold where they are significant."""

from lessonpipe.report.ablation import ablation_table


def test_the_table_has_a_row_per_arm_and_bold_significant_differences() -> None:
    same, more = [[1.0, 2.0]] * 3, [[1.5, 2.5]] * 3
    arms = {
        "off": {"psnr_gain": same, "sharpness": same},
        "on": {"psnr_gain": more, "sharpness": same},
    }
    lines = ablation_table(arms, {"off": 10.2, "on": 12.0}).markdown().splitlines()
    assert lines[0] == "| | PSNR gained, dB | sharpness | seconds |"
    assert lines[2] == "| off | 1.500 | 1.500 | 10 |"
    assert "**+0.500** (+0.500…+0.500)" in lines[3]
    assert "**+0.000**" not in lines[3]
    assert lines[3].endswith("| 12 |")


def test_unknown_seconds_are_a_dash_and_a_metric_that_one_arm_lacks_is_left_out() -> None:
    arms = {"a": {"accuracy": [[0.5]], "sharpness": [[1.0]]}, "b": {"accuracy": [[0.7]]}}
    lines = ablation_table(arms, {"a": 1, "b": float("nan")}).markdown().splitlines()
    assert lines[0] == "| | accuracy | seconds |"
    assert lines[3] == "| b | 0.700 **+0.200** (+0.200…+0.200) | – |"
