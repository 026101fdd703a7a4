"""Which convolution a GPU gets: by the table, with a stand-in for the card."""

import pytest
import torch

from higan_fast.environment import native
from higan_fast.ops import convolution_choice as choice
from higan_fast.ops.convolution_choice import Layer

CUDA = torch.device("cuda", 0)
H100 = (9, 0)


def of(resolution, inputs, outputs, up=1, batch=32):
    return Layer(batch * resolution**2, inputs, outputs, up)


@pytest.fixture
def card(monkeypatch):
    """Sets the capability of the GPU that there is not."""
    monkeypatch.setattr(choice, "_always", None)
    return lambda *number: monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: number)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Puts these lines in place of the table."""
    header = choice.TIMES.read_text().splitlines()[0]

    def put(*lines):
        path = tmp_path / "times.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        rows = choice.read_rows(path)
        forget()
        monkeypatch.setattr(choice, "measured", lambda: rows)

    yield put
    forget()


def forget():
    choice.rows_for.cache_clear()
    choice.faster.cache_clear()


def test_every_measured_layer_gets_what_was_faster(card):
    card(*H100)
    for row in choice.measured():
        found = choice.choose(CUDA, row.dtype, row.layer)
        assert found == ("fused" if row.fused_ms < row.library_ms else "library"), row


@pytest.mark.parametrize(
    "layer, expected",
    [
        (of(8, 512, 512, batch=8), "fused"),  # as many pixels as 4² in 32 samples
        (of(8, 512, 512, batch=128), "library"),  # as 16²
        (of(4, 256, 256, batch=32), "fused"),
        (of(4, 128, 128, batch=32), "library"),  # nothing like it was timed
        (of(4, 512, 512, batch=1), "library"),
        (of(256, 128, 64, up=2, batch=32), "library"),  # only small layers that upsample were timed
        (of(256, 64, 64, batch=8), "library"),
        (of(8, 516, 512, batch=32), "library"),  # ours takes channels by eight
    ],
)
def test_other_layers_get_what_the_nearest_got(card, layer, expected):
    card(*H100)
    assert choice.choose(CUDA, torch.float16, layer) == expected
    assert choice.choose(CUDA, torch.bfloat16, layer) == expected


def test_cpus_and_float32_keep_the_library(card):
    card(*H100)
    layer = of(4, 512, 512)
    assert choice.choose(torch.device("cpu"), torch.float16, layer) == "library"
    assert choice.choose(CUDA, torch.float32, layer) == "library"
    with choice.always("fused"):
        assert choice.choose(torch.device("cpu"), torch.float16, layer) == "library"


def test_unknown_cards_take_the_nearest_that_was_measured(card, table):
    layer = of(64, 64, 64)
    table(
        "8.0,float16,64,64,64,1,32,2,1,A,c,2026-01-01",
        "9.0,float16,64,64,64,1,32,1,2,H,c,2026-01-01",
    )
    for number, expected in {(8, 6): "fused", (8, 9): "fused", (12, 0): "library", (7, 5): "fused"}.items():
        card(*number)
        assert choice.choose(CUDA, torch.float16, layer) == expected, number


def test_the_newest_row_of_a_layer_counts_and_up_is_never_mixed(card, table):
    card(8, 0)
    table(
        "8.0,float16,64,64,64,1,32,2,1,A,c,2026-01-01",
        "8.0,float16,64,64,64,1,32,1,2,A,c,2026-02-01",
    )
    assert choice.choose(CUDA, torch.float16, of(64, 64, 64)) == "library"
    table("8.0,float16,64,64,64,1,32,2,1,A,c,2026-01-01")
    assert choice.choose(CUDA, torch.float16, of(64, 64, 64, up=2)) == "library"
    table()
    assert choice.choose(CUDA, torch.float16, of(64, 64, 64)) == "library"


@pytest.mark.parametrize(
    "line",
    [
        "9.0,float16,64,64,64,1,32,x,1,H,c,d",
        "9.0,float17,64,64,64,1,32,1,1,H,c,d",
        "9.0,nn,64,64,64,1,32,1,1,H,c,d",
        "9,float16,64,64,64,1,32,1,1,H,c,d",
        "9.0,float16,64,64,64,1,32,nan,1,H,c,d",
        "9.0,float16",
    ],
)
def test_a_line_that_is_no_row_is_named(table, line):
    with pytest.raises(ValueError, match=r"times.csv, line 2: not a row of convolution times"):
        table(line)


def test_one_convolution_for_all_layers(card):
    card(*H100)
    layer = of(256, 64, 64)
    with choice.always("fused"):
        assert choice.choose(CUDA, torch.float16, layer) == "fused"
        assert choice.describe(CUDA) == "fused for all layers (HIGAN_FAST_CONVOLUTION)"
    assert choice.choose(CUDA, torch.float16, layer) == "library"
    assert [choice.of_all_layers(value) for value in (None, "", "auto", "fused")] == [
        None,
        None,
        None,
        "fused",
    ]
    with pytest.raises(
        ValueError, match="HIGAN_FAST_CONVOLUTION: got 'own', expected auto, library or fused"
    ):
        choice.of_all_layers("own")


def test_doctor_says_which_rows_count(card):
    card(8, 9)
    said = choice.describe(CUDA)
    assert said == (
        "16 bits: by 10 layers timed on sm_90, the nearest that was measured, ours faster in 4; "
        "float32: PyTorch's own, for nothing was timed on this card"
    )
    card(*H100)
    assert "on sm_90, ours faster in 4" in choice.describe(CUDA)
    assert native()["convolution"] == {"cpu": "PyTorch's own, and Winograd's for 3×3 in float32"}
