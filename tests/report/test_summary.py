"""What the README's table and the headline say of metrics.json."""

from lessonpipe.report.summary import headline, summary_table


def model(**means: float) -> dict[str, dict[str, float]]:
    values = {"psnr_gain": 1.0, "perceptual": 0.5, "sharpness": 0.4, "ab_error": 1.0} | means
    return {m: {"mean": v, "median": v + 1, "low": 0.0, "high": 3.0} for m, v in values.items()}


def test_the_summary_has_means_and_the_interval_of_the_gain() -> None:
    metrics = {
        "128": {
            "crappy": model(text_removed=0),
            "gan": model(text_removed=0.8, text_ceiling=0.97),
            "gan_against_generator": {"sharpness": {"times": 2}},
        },
        "critic": {"accuracy": 0.9},
    }
    head, _, crappy, gan = summary_table(metrics).markdown().splitlines()
    assert "text removed (ceiling)" in head and "colour" not in head and "damage" not in head
    assert crappy == "| 128 | crappy | +1.00 (+0.00…+3.00) | 0.00 | 0.500 | 0.40 |"
    assert gan == "| 128 | gan | +1.00 (+0.00…+3.00) | 0.80 (0.97) | 0.500 | 0.40 |"


def test_colours_are_columns_where_they_were_damaged() -> None:
    metrics = {"64": {"crappy": model(ab_error=20, colourfulness=0), "gan": model(ab_error=9)}}
    head, _, crappy, gan = summary_table(metrics).markdown().splitlines()
    assert "| colourfulness | colours off, Lab ab |" in head
    assert "| 0.00 | 20.0 |" in crappy and "| – | 9.0 |" in gan


def test_the_headline_names_every_model_with_its_gain() -> None:
    gain = {"mean": 2.345, "median": 1.0, "low": 0.0, "high": 3.0}
    scores = {"psnr_gain": gain, "text_removed": {"mean": 0.876}}
    metrics = {"128": {"crappy": scores, "gan": scores, "gan_against_generator": {}}, "critic": {}}
    assert headline(metrics) == "gan at 128: +2.35 dB, text removed 0.88"


def test_the_headline_leaves_out_text_where_the_recipe_writes_none() -> None:
    assert headline({"128": {"gan": {"psnr_gain": {"mean": 1.0}}}}) == "gan at 128: +1.00 dB"
