import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectories import Sample, any_batches, any_samples, batch_of
from transformers import LlamaConfig, LlamaForCausalLM

from prl_ray.models.policy import attention, hidden_states
from prl_ray.ppo.collate import PaddedBatch, collate, flat_rows, line_sums, pack_lengths, packs, token_rows
from prl_ray.ppo.logprobs import token_logprobs
from prl_ray.trajectory import TrajectoryBatch

BATCH = batch_of(
    [
        Sample(prompt=[1, 2], tokens=[10, 11, 12], line_ends=[0, 2], group=1),
        Sample(prompt=[3], tokens=[20, 21], line_ends=[1], group=2),
        Sample(prompt=[1, 2], tokens=[30], line_ends=[0], group=1),
    ]
)


def rows(*indices: int) -> np.ndarray:
    return np.array(indices, dtype=np.int64)


def grouped(samples: list[Sample]) -> TrajectoryBatch:
    """Samples of one group share the prompt of the group's first."""
    prompts: dict[int, object] = {}
    shared = [
        Sample(
            prompt=prompts.setdefault(s.group, s.prompt),  # type: ignore[arg-type]
            tokens=s.tokens,
            line_ends=s.line_ends,
            neutral=s.neutral,
            group=s.group,
        )
        for s in samples
    ]
    return batch_of(shared)


grouped_batches = st.lists(any_samples(), min_size=1, max_size=6).map(grouped)


def test_rows_of_one_sample_each_by_hand() -> None:
    padded = collate(BATCH, [rows(1), rows(0)], pad_id=99)
    assert padded.rows.tolist() == [1, 0]
    assert padded.input_ids.tolist() == [[3, 20, 21, 99, 99], [1, 2, 10, 11, 12]]
    assert padded.attention_mask is not None
    assert padded.attention_mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert padded.position_ids[:, :3].tolist() == [[0, 1, 2], [0, 1, 2]]
    assert padded.targets.tolist() == [20, 21, 10, 11, 12]
    assert padded.predicts.tolist() == [0, 1, 6, 7, 8]
    assert padded.line_ends.tolist() == [2, 7, 9]
    assert padded.line_tokens.tolist() == [[0, 2, 3], [1, 2, 4]]
    assert padded.last.tolist() == [2, 9]


def test_a_shared_prompt_by_hand() -> None:
    padded = collate(BATCH, [rows(0, 2)], pad_id=99)
    assert padded.input_ids.tolist() == [[1, 2, 10, 11, 12, 30]]
    assert padded.position_ids.tolist() == [[0, 1, 2, 3, 4, 2]]
    assert padded.predicts.tolist() == [1, 2, 3, 1]
    assert padded.line_ends.tolist() == [2, 4, 5]
    assert padded.last.tolist() == [4, 5]
    assert padded.attention_mask is not None and padded.attention_mask.shape == (1, 1, 6, 6)
    assert padded.attention_mask[0, 0].long().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0],
        [1, 1, 0, 0, 0, 1],
    ]


def test_a_packed_row_by_hand() -> None:
    packed = collate(BATCH, [rows(1), rows(0), rows(2)], packed=True)
    assert packed.attention_mask is None
    assert packed.input_ids.tolist() == [[3, 20, 21, 1, 2, 10, 11, 12, 1, 2, 30]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 0, 1, 2, 3, 4, 0, 1, 2]]
    assert packed.targets.tolist() == [20, 21, 10, 11, 12, 30]
    assert packed.predicts.tolist() == [0, 1, 4, 5, 6, 9]
    assert packed.line_ends.tolist() == [2, 5, 7, 10]
    assert packed.line_tokens.tolist() == [[0, 2, 3, 5], [1, 2, 4, 5]]
    assert packed.last.tolist() == [2, 7, 10]
    assert collate(BATCH, [], pad_id=9, packed=True).input_ids.tolist() == [[9]]
    with pytest.raises(ValueError, match="no mask"):
        collate(BATCH, [rows(0, 2)], packed=True)


def test_packs_share_prompts_within_the_budget() -> None:
    assert [p.tolist() for p in packs(BATCH, rows(0, 1, 2), budget=100)] == [[0, 2], [1]]
    assert [p.tolist() for p in packs(BATCH, rows(0, 1, 2), budget=5)] == [[0], [2], [1]]
    assert [p.tolist() for p in packs(BATCH, rows(2, 0), budget=100, shared=False)] == [[2], [0]]
    assert pack_lengths(BATCH, [rows(0, 2), rows(1)]).tolist() == [6, 3]


@given(grouped_batches, st.integers(1, 40), st.booleans())
def test_packs_lose_nothing_and_keep_within_the_budget(batch: TrajectoryBatch, budget: int, shared: bool) -> None:
    groups = packs(batch, np.arange(len(batch)), budget, shared)
    assert sorted(i for g in groups for i in g.tolist()) == list(range(len(batch)))
    for group, length in zip(groups, pack_lengths(batch, groups), strict=True):
        assert len(set(batch.prompt_ids[group])) == 1
        assert len(group) == 1 or length <= budget


def test_no_packs_make_a_micro_batch_that_a_model_can_run() -> None:
    padded = collate(BATCH, [], pad_id=99)
    assert padded.input_ids.tolist() == [[99]]
    assert padded.targets.numel() == padded.predicts.numel() == padded.last.numel() == 0


def test_a_prompt_without_tokens_is_an_error() -> None:
    with pytest.raises(ValueError, match="prompt without tokens"):
        collate(batch_of([Sample(prompt=[], tokens=[1])]), [rows(0)])


@given(grouped_batches, st.integers(1, 60), st.booleans(), st.data())
def test_gathering_gives_the_flat_order_of_take(
    batch: TrajectoryBatch, budget: int, shared: bool, data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(batch) - 1), min_size=1, unique=True))
    packed = not shared and data.draw(st.booleans())
    padded = collate(batch, packs(batch, rows(*chosen), budget, shared), packed=packed)
    taken = batch.take(padded.rows)
    assert sorted(padded.rows.tolist()) == sorted(chosen)
    assert padded.targets.tolist() == taken.tokens.tolist()
    assert flat_rows(padded.input_ids, padded.line_ends).tolist() == taken.tokens[taken.global_line_ends].tolist()
    assert token_rows(batch.token_offsets, padded.rows, batch.logprobs).tolist() == taken.logprobs.tolist()
    spans = list(zip(taken.global_line_starts.tolist(), taken.global_line_ends.tolist(), strict=True))
    assert [tuple(span) for span in padded.line_tokens.T.tolist()] == spans
    values = torch.randn(len(taken.tokens), dtype=torch.float64)
    sums = [float(values[first : last + 1].sum()) for first, last in spans]
    assert line_sums(values, padded.line_tokens).tolist() == pytest.approx(sums)
    # The positions in and before each response are those that the sample would have alone.
    positions = flat_rows(padded.position_ids, padded.predicts).tolist()
    prompts = np.diff(taken.prompt_offsets)
    lengths = taken.response_lengths
    assert positions == [int(p) - 1 + t for p, n in zip(prompts, lengths, strict=True) for t in range(n)]
    before = flat_rows(padded.input_ids, padded.predicts).tolist()
    expected = [
        int(
            taken.prompt_tokens[taken.prompt_offsets[i + 1] - 1]
            if t == 0
            else taken.tokens[taken.token_offsets[i] + t - 1]
        )
        for i in range(len(taken))
        for t in range(lengths[i])
    ]
    assert before == expected
    last = flat_rows(padded.input_ids, padded.last).tolist()
    assert last == [
        int(
            taken.tokens[taken.token_offsets[i + 1] - 1]
            if lengths[i]
            else taken.prompt_tokens[taken.prompt_offsets[i + 1] - 1]
        )
        for i in range(len(taken))
    ]


def test_padding_of_a_shared_micro_batch_sees_and_is_seen_by_no_token() -> None:
    padded = collate(BATCH, [rows(0, 2), rows(1)], pad_id=99)
    assert padded.input_ids[1].tolist() == [3, 20, 21, 99, 99, 99]
    assert padded.attention_mask is not None
    assert padded.attention_mask[1, 0].long().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [0, 0, 0, 1, 1, 0],
        [0, 0, 0, 1, 1, 1],
    ]
    assert padded.predicts.tolist() == [1, 2, 3, 1, 6, 7]


torch.manual_seed(0)
MODEL = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=12_000,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        attn_implementation=attention(),
    )
).eval()


def states(padded: PaddedBatch) -> torch.Tensor:
    return hidden_states(MODEL, padded.input_ids, padded.attention_mask, padded.position_ids)


def read(padded: PaddedBatch) -> dict[str, torch.Tensor]:
    """Everything that the actors read of a micro-batch, in the flat order of its samples."""
    hidden = states(padded)
    before = flat_rows(hidden, padded.predicts)
    logprobs, entropy = token_logprobs(before, MODEL.lm_head.weight, padded.targets, bias=None)
    return {
        "logprobs": logprobs,
        "entropy": entropy,
        "before": before,
        "line_ends": flat_rows(hidden, padded.line_ends),
        "last": flat_rows(hidden, padded.last),
    }


@settings(deadline=None, max_examples=20)
@given(grouped_batches, st.integers(1, 60))
def test_neither_sharing_a_prompt_nor_packing_changes_what_is_read(batch: TrajectoryBatch, budget: int) -> None:
    together = collate(batch, packs(batch, np.arange(len(batch)), budget))
    order = together.rows
    with torch.no_grad():
        parts = [read(collate(batch, [order[i : i + 1]])) for i in range(len(order))]
        alone = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        torch.testing.assert_close(read(together), alone, atol=1e-4, rtol=1e-4)
        padded = collate(batch, packs(batch, order, budget, shared=False))
        torch.testing.assert_close(read(padded), alone, atol=1e-4, rtol=1e-4)
        packed = collate(batch, packs(batch, order, budget, shared=False), packed=True)
        torch.testing.assert_close(read(packed), alone, atol=1e-4, rtol=1e-4)


def test_neither_sharing_a_prompt_nor_packing_changes_a_gradient() -> None:
    def gradient(parts: list[PaddedBatch]) -> list[torch.Tensor]:
        MODEL.zero_grad()
        for padded in parts:
            read(padded)["logprobs"].sum().backward()
        return [p.grad.clone() for p in MODEL.parameters() if p.grad is not None]

    alone = gradient([collate(BATCH, [rows(i)]) for i in range(3)])
    together = gradient([collate(BATCH, packs(BATCH, rows(0, 1, 2), budget=100))])
    assert max(float(g.abs().max()) for g in alone) > 1e-3
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    packed = gradient([collate(BATCH, packs(BATCH, rows(0, 1, 2), budget=100, shared=False), packed=True)])
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=1e-4)


def test_an_empty_micro_batch_runs_and_adds_no_gradient() -> None:
    MODEL.zero_grad()
    loss = read(collate(BATCH, []))["logprobs"].sum()
    assert loss.item() == 0.0
    loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in MODEL.parameters())


def test_moving_keeps_every_field() -> None:
    padded = collate(BATCH, [rows(0)])
    moved = padded.to("cpu")
    assert moved.predicts.tolist() == padded.predicts.tolist()
    assert moved.rows.tolist() == [0]


@given(any_batches())
def test_every_sample_alone_is_its_own_row(batch: TrajectoryBatch) -> None:
    padded = collate(batch, packs(batch, np.arange(len(batch)), 1, shared=False))
    assert padded.attention_mask is not None
    assert padded.attention_mask.sum(1).tolist() == batch.total_lengths.tolist()


def test_different_prompts_share_no_pack() -> None:
    with pytest.raises(ValueError, match="different prompts"):
        collate(BATCH, [rows(0, 1)])
