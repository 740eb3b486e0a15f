"""A retraining's folder, how it ends, and what is replayed."""

import json
from pathlib import Path

import pytest

from contracts.errors import ArtifactError, Unschedulable
from training.examples import Example
from training.stages.run import (
    RUNS_KEPT,
    Exit,
    GateClosed,
    RunFolder,
    StageMissing,
    begin_run,
    end_of,
)
from training.stages.train import choose


def begin(runs_dir: Path, **changes: object) -> RunFolder:
    given = {"champion": "v3", "who": "ada", "dataset": None, "is_promoted": True, **changes}
    return begin_run(runs_dir, **given)  # type: ignore[arg-type]


def test_a_run_says_what_it_was_asked(tmp_path: Path) -> None:
    run = begin(tmp_path)
    assert (run.order.champion, run.order.who, run.order.is_promoted) == ("v3", "ada", True)
    assert run.path.parent == tmp_path
    assert run.path.stat().st_mode & 0o077 == 0  # queries are nobody else's


def test_a_dataset_is_never_promoted(tmp_path: Path) -> None:
    order = begin(tmp_path, dataset=Path("queries.jsonl")).order
    assert order.dataset == str(Path("queries.jsonl").resolve())
    assert not order.is_promoted


def test_only_the_newest_runs_are_kept(tmp_path: Path) -> None:
    for number in range(RUNS_KEPT + 2):
        (tmp_path / f"20260101-00000{number}").mkdir()
    run = begin(tmp_path)
    kept = sorted(one.name for one in tmp_path.iterdir())
    assert len(kept) == RUNS_KEPT
    assert kept[-1] == run.order.run
    assert "20260101-000000" not in kept


def test_two_runs_in_one_second_are_two_runs(tmp_path: Path) -> None:
    assert len({begin(tmp_path).path for _ in range(3)}) == 3


def test_a_stage_reads_what_another_wrote(tmp_path: Path) -> None:
    run = begin(tmp_path)
    run.write("split", {"counts": 3})
    assert run.read("split") == {"counts": 3}
    assert run.has("split")
    assert not list(run.path.glob("*.draft"))


def test_a_stage_that_comes_too_early_names_the_one_before(tmp_path: Path) -> None:
    with pytest.raises(StageMissing, match=r"python -m training\.stages\.split"):
        begin(tmp_path).read("split")


@pytest.mark.parametrize("content", [None, "{}", "nonsense"])
def test_what_is_no_runs_folder_is_said(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(StageMissing, match=r"no run's folder|cannot be read"):
        _ = RunFolder(tmp_path).order


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (None, Exit.DONE, ""),
        (GateClosed(Exit.NOT_ENOUGH_LABELS, ["not yet: 500 of 501"]), 3, "not yet: 500 of 501"),
        (GateClosed(Exit.CANDIDATE_WORSE, ["one", "two"]), 5, "  one\n  two\n"),
        (Unschedulable("Asked was 1 CPU."), Exit.NO_ROOM, "Asked was 1 CPU."),
        (ArtifactError("It is damaged."), Exit.FAILED, "The champion stays as it is"),
        (OSError(28, "No space left on device"), Exit.FAILED, "No space left"),
    ],
)
def test_each_end_has_a_sentence_and_a_status_of_its_own(
    error: Exception | None, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        if error is not None:
            raise error

    assert end_of(work).status == status
    assert said in capsys.readouterr().out


def test_a_bug_is_not_swallowed() -> None:
    def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        end_of(work)


def test_all_ends_differ() -> None:
    assert len({int(one) for one in Exit}) == len(list(Exit))


OLD = [Example(f"old question {number}", "library") for number in range(100)]
NEW = [Example(f"new question {number}", "dining") for number in range(10)]


def test_all_that_is_new_and_a_share_of_the_old_is_learned() -> None:
    chosen = choose([*OLD, *NEW], new=NEW, share=0.3, after="v3")
    assert list(chosen.new) == NEW
    assert len(chosen.replayed) == 30
    assert set(chosen.replayed) <= set(OLD)


def test_the_same_share_is_chosen_whatever_the_order_and_a_larger_one_contains_it() -> None:
    some = choose([*OLD, *NEW], new=NEW, share=0.3, after="v3").replayed
    assert some == choose([*reversed(OLD), *NEW], new=NEW, share=0.3, after="v3").replayed
    assert set(some) <= set(choose([*OLD, *NEW], new=NEW, share=0.6, after="v3").replayed)


def test_another_retraining_rehearses_others() -> None:
    first = choose(OLD, new=NEW, share=0.5, after="v3").replayed
    assert set(first) != set(choose(OLD, new=NEW, share=0.5, after="v4").replayed)


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (1.0, 100)])
def test_nothing_or_everything_may_be_replayed(share: float, count: int) -> None:
    assert len(choose([*OLD, *NEW], new=NEW, share=share, after="v3").replayed) == count


def test_a_new_label_on_another_side_is_not_trained_on() -> None:
    assert choose(OLD, new=NEW, share=0.0, after="v3").new == ()


def test_an_artifact_is_json_that_people_can_read(tmp_path: Path) -> None:
    run = begin(tmp_path)
    run.write("gate", {"reasons": ["naïve"]})
    text = (run.path / "gate.json").read_text()
    assert "naïve" in text
    assert json.loads(text) == {"reasons": ["naïve"]}
