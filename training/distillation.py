"""Teach a small model what a large one answers: soft targets, and what its layers make of a text.

Hinton et al. 2015 for the soft targets at a temperature, Sanh et al. 2019 (DistilBERT) for the
start in the teacher's own layers. No label is used: the teacher says what each text is.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import torch
from torch import nn

from models.session import open_tokenizer, prepare
from training.encoder_start import start_folder
from training.examples import Example
from training.intent_model import DistilBertIntents
from training.mobilebert import MobileBertIntents, mean_of
from training.unlabelled import varied

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Lesson:
    """How it is taught. The defaults take less than ten minutes on two idle cores."""

    steps: int = 1200
    batch: int = 64
    learning_rate: float = 5e-4
    warmup: float = 0.05
    temperature: float = 2.0
    layers_weight: float = 1.0
    """Of the layers' mean squared error beside the soft targets' divergence."""
    varied: float = 0.6
    """Share of the texts that are varied anew each time."""
    seed: int = 17
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Taught:
    """The pupil, on CPU and in evaluation mode, and how well it came to agree with its teacher.

    `agreement` is the share of the validation queries that both call the same.
    """

    model: MobileBertIntents
    steps: int
    loss: float
    agreement: float
    seconds: float

    @property
    def record(self) -> dict[str, float]:
        return {
            "steps": self.steps,
            "loss": round(self.loss, 4),
            "agreement": round(self.agreement, 4),
            "seconds": round(self.seconds, 1),
        }


def distil(
    pupil: MobileBertIntents,
    *,
    teacher: DistilBertIntents,
    texts: Sequence[str],
    validation: Sequence[Example],
    lesson: Lesson | None = None,
    report: Report = print,
) -> Taught:
    """Teach `pupil`, which was cut from `teacher`, with `texts`; both answer to the same labels.

    The word table stays: words that no text has stay near those that some have. Equal arguments
    and threads give equal weights on one machine. `report` gets a line some ten seconds apart.
    """
    lesson = lesson or Lesson()
    torch.set_num_threads(max(1, min(lesson.threads, os.cpu_count() or 1)))
    torch.manual_seed(lesson.seed)
    bf16 = torch.cpu._is_avx512_bf16_supported()
    autocast = partial(torch.autocast, "cpu", dtype=torch.bfloat16, enabled=bf16)
    teacher.eval().requires_grad_(False)
    pupil.train()
    pupil.body.embeddings.word_embeddings.requires_grad_(False)
    taught = [value for value in pupil.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(taught, lr=lesson.learning_rate, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, partial(_share, lesson=lesson))
    began = told = time.monotonic()
    loss = torch.zeros(())
    for step, (ids, mask) in enumerate(_batches(texts, lesson=lesson), start=1):
        with autocast():
            loss = _loss(pupil, teacher, ids=ids, mask=mask, lesson=lesson)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(taught, 1.0)
        optimiser.step()
        schedule.step()
        if time.monotonic() - told > 10 or step == lesson.steps:
            told = time.monotonic()
            left_s = (told - began) / step * (lesson.steps - step)
            report(
                f"distil: step {step} of {lesson.steps}, loss {loss.item():.3f},"
                f" {left_s / 60:.0f} min to go"
            )
    pupil.eval()
    agreement = _agreement(pupil, teacher, [example.text for example in validation])
    seconds = time.monotonic() - began
    report(f"distil: {agreement:.1%} of the validation queries answered as the teacher does")
    return Taught(pupil, lesson.steps, float(loss.item()), agreement, seconds)


def _loss(
    pupil: MobileBertIntents,
    teacher: DistilBertIntents,
    *,
    ids: torch.Tensor,
    mask: torch.Tensor,
    lesson: Lesson,
) -> torch.Tensor:
    """Return the divergence of the soft targets plus the layers' mean squared error."""
    wanted = _teacher_states(teacher, ids, mask)
    states = pupil.states(ids, mask)
    soft = [
        (logits.float() / lesson.temperature)
        for logits in (pupil.logits(states[-1], mask), teacher.head(mean_of(wanted[-1], mask)))
    ]
    divergence = nn.functional.kl_div(
        soft[0].log_softmax(dim=1), soft[1].softmax(dim=1), reduction="batchmean"
    )
    weight = mask.unsqueeze(-1).float()
    tokens = weight.sum() * wanted[-1].shape[-1]
    error = torch.zeros(())
    for number, ours in enumerate(states[1:], start=1):
        # The last of the teacher's layers whose place this one took.
        theirs = wanted[-(-number * (len(wanted) - 1) // (len(states) - 1))]
        error = error + ((ours.float() - theirs.float()).square() * weight).sum() / tokens
    # Once more for what the head sees, as much as all layers together.
    means = mean_of(states[-1].float(), mask) - mean_of(wanted[-1].float(), mask)
    error = error + len(states[1:]) * means.square().mean()
    return divergence * lesson.temperature**2 + lesson.layers_weight * error


@torch.no_grad()
def _teacher_states(
    teacher: DistilBertIntents, ids: torch.Tensor, mask: torch.Tensor
) -> list[torch.Tensor]:
    """Return what the teacher's embeddings and then each of its layers make."""
    encoder = teacher.pooled.encoder
    states: list[torch.Tensor] = [encoder.embeddings(ids)]
    bias = (1.0 - mask[:, None, None, :].to(states[0].dtype)) * -1e9
    for layer in encoder.transformer.layer:
        states.append(layer(states[-1], attention_mask=bias))
    return states


def _batches(
    texts: Sequence[str], *, lesson: Lesson
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Give `lesson.steps` batches of texts of alike length: ids and mask, (texts, tokens)."""
    random = Random(lesson.seed)
    tokenizer = open_tokenizer(start_folder() / "tokenizer.json")
    given = 0
    while True:
        drawn = random.choices(texts, k=4 * lesson.batch)
        asked = [
            varied(text, others=texts, random=random) if random.random() < lesson.varied else text
            for text in drawn
        ]
        tokens = [torch.tensor(found.ids) for found in tokenizer.encode_batch_fast(asked)]
        tokens.sort(key=len)
        for start in range(0, len(tokens), lesson.batch):
            if given == lesson.steps:
                return
            given += 1
            chosen = tokens[start : start + lesson.batch]
            ids = nn.utils.rnn.pad_sequence(chosen, batch_first=True)
            lengths = torch.tensor([len(one) for one in chosen])
            yield ids, (torch.arange(ids.shape[1])[None, :] < lengths[:, None]).long()


def _agreement(pupil: MobileBertIntents, teacher: DistilBertIntents, texts: Sequence[str]) -> float:
    tokenizer = open_tokenizer(start_folder() / "tokenizer.json")
    same = 0
    with torch.no_grad():
        for batch in prepare(tokenizer, list(texts), max_batch=64):
            ids = torch.from_numpy(batch.feeds["input_ids"])
            mask = torch.from_numpy(batch.feeds["attention_mask"])
            same += int((pupil(ids, mask).argmax(dim=1) == teacher(ids, mask).argmax(dim=1)).sum())
    return same / max(1, len(texts))


def _share(step: int, *, lesson: Lesson) -> float:
    """Rise, then fall linearly to zero."""
    warmup = max(1, round(lesson.warmup * lesson.steps))
    return min((step + 1) / warmup, max(0.0, (lesson.steps - step) / lesson.steps))
