"""Several predictors as one, levels that are given, and what names predictors in a run."""

import pytest
import torch

from higan_fast.engine.gradients import score_gradients
from higan_fast.engine.scoring import score
from higan_fast.fingerprint import fingerprint
from higan_fast.predictors import KINDS, CombinedPredictor, Semantic, Source, load_predictor, sources
from higan_fast.predictors.base import LogitsOf
from higan_fast.predictors.kinds import kind_of
from higan_fast.predictors.source import load_sources
from tests.toy import toy


def images():
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def red(x):
    return x.mean([2, 3])[:, :1]


def test_columns_ranges_logits_and_levels_are_those_of_the_parts():
    scenes, color = load_predictor("scenes"), load_predictor("color")
    both = load_predictor(["scenes", "color"])
    assert both.num_semantics == scenes.num_semantics + color.num_semantics
    of_both = [semantic.level for semantic in both.semantics]
    assert of_both == [semantic.level for semantic in (*scenes.semantics, *color.semantics)]
    assert both.score_ranges == (*scenes.score_ranges, *color.score_ranges)
    assert both.has_logits == scenes.has_logits + (False,) * color.num_semantics
    x = images()
    assert torch.equal(both(x), torch.cat([scenes(x), color(x)], dim=1))
    assert torch.equal(LogitsOf(both)(x), torch.cat([scenes.logits(x), color(x)], dim=1))


def test_a_name_that_two_use_gets_the_words_of_both():
    names = load_predictor(["scenes", "color"]).names
    assert {"scenes.saturation", "color.saturation", "brightness", "lighting"} <= set(names)
    assert "saturation" not in names and len(set(names)) == len(names)
    assert load_predictor([load_predictor("scenes"), load_predictor("color")]).names == names
    with pytest.raises(ValueError, match=r"two of the predictors score 'color\.brightness', and names"):
        load_predictor(["color", "color"])


def test_images_are_clamped_and_no_part_sees_what_another_did_to_them():
    def in_place(x):
        return red(x.mul_(0))

    both = load_predictor([load_predictor(in_place, ["dark"]), "color"])
    x = images() * 3
    found = score(both, x)
    assert torch.equal(found[:, 1:], load_predictor("color")(x.clamp(-1, 1))) and not found[:, 0].any()


def test_gradients_are_the_parts_and_never_a_silent_zero():
    generator, predictor = toy()
    blind = load_predictor(lambda x: x.detach().mean([2, 3])[:, :1].numpy(), ["blind"])
    both = load_predictor([predictor, blind])
    codes = torch.randn(2, generator.num_layers, generator.code_dim)
    found = score_gradients(generator, both, codes, [0, 1])
    torch.testing.assert_close(found, score_gradients(generator, predictor, codes, [0, 1]))
    assert found.any()
    with pytest.raises(ValueError, match=r"score of 'blind' carries no gradient.*\blogistic\b"):
        score_gradients(generator, both, codes, [0, predictor.num_semantics])
    with pytest.raises(ValueError, match=r"carry no gradient.*\blogistic\b"):
        score_gradients(generator, blind, codes, [0])


def test_levels_replace_those_of_a_predictor():
    color = load_predictor("color", levels={"warmth": "layout"})
    assert {semantic.name for semantic in color.semantics if semantic.level == "layout"} == {"warmth"}
    assert torch.equal(color(images()), load_predictor("color")(images()))
    assert Semantic("warmth", "color") in load_predictor("color").semantics, "only this one has them"
    assert fingerprint(load_predictor("color", levels={"warmth": "color"})) == fingerprint(
        load_predictor("color")
    )
    both = load_predictor(["color", "scenes"], levels={"color.warmth": "object"})
    assert Semantic("color.warmth", "object") in both.semantics
    with pytest.raises(ValueError, match=r"levels \(--levels\): got one for 'mood', expected names"):
        load_predictor("color", levels={"mood": "color"})


def test_options_go_to_those_that_take_them():
    both = load_predictor(["color", red], ["red"], score_range=(-1, 1))
    assert both.names[-1] == "red" and both.score_ranges[-1] == (-1, 1)
    with pytest.raises(ValueError, match="'color' has its own; leave it out"):
        load_predictor("color", ["a", "b", "c"])
    with pytest.raises(ValueError, match="input_sise: no predictor has such an option"):
        load_predictor("color", input_sise=3)
    with pytest.raises(ValueError, match="an empty list, expected at least one"):
        load_predictor([])


def test_a_source_is_found_again():
    (source,) = sources(["color"])
    assert source == Source(predictor="color") == source.with_files().moved(lambda path: f"/there/{path}")
    loaded = load_sources(sources(["scenes", "color"]), {"lamp": "layout"}, "cpu")
    expected = load_predictor(["scenes", "color"], levels={"lamp": "layout"})
    assert fingerprint(loaded) == fingerprint(expected) and isinstance(loaded, CombinedPredictor)
    with pytest.raises(ValueError, match=r"semantics \(--names\): none of color takes it"):
        sources(["color"], {"names": [["a"]]})


def test_files_have_a_digest_and_move(tmp_path):
    (tmp_path / "p.safetensors").write_bytes(b"abc")
    for text in (str(tmp_path / "p.safetensors"), f"trained:{tmp_path / 'p.safetensors'}"):
        source = Source(predictor=text).with_files()
        assert source.files == {
            str(
                tmp_path / "p.safetensors"
            ): "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        }
        moved = source.moved(lambda path: path.replace(str(tmp_path), "/there"))
        assert moved.predictor == text.replace(str(tmp_path), "/there")
        assert list(moved.files) == ["/there/p.safetensors"]


def test_every_kind_says_all_of_itself():
    assert [kind.name for kind in KINDS] == sorted({kind.name for kind in KINDS})
    suffixes = [suffix for kind in KINDS for suffix in kind.suffixes]
    assert len(set(suffixes)) == len(suffixes) and all(suffix.startswith(".") for suffix in suffixes)
    for kind in KINDS:
        named = kind.example.split()[0]
        assert kind_of(named)[0] is kind, named
        assert kind.help and "\n" not in kind.help
    with pytest.raises(ValueError, match="color:blue', expected 'color' alone"):
        load_predictor("color:blue")


def test_a_file_of_no_kind_is_refused(tmp_path):
    (tmp_path / "net.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"net.bin: is of no kind of predictor .* lists all, with examples"):
        load_predictor(tmp_path / "net.bin")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["scenes", "color", "layout", "segmentation:scenes"])
def test_images_of_any_type_are_scored_and_none_are_no_scores(name, dtype):
    predictor, x = load_predictor(name), images().to(dtype)
    expected = predictor(x.float())
    torch.testing.assert_close(predictor(x).float(), expected, rtol=1e-2, atol=1e-2)
    assert predictor(x[:0]).shape == (0, predictor.num_semantics)
