"""The callback among those of transformers, on a tiny GPT-2: events in the order in which its Trainer sends them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.trainer_callback import CallbackHandler, DefaultFlowCallback, TrainerControl, TrainerState

import flowplane as fp
from flowplane.errors import InputError
from flowplane.integrations.transformers import RecorderCallback

TOKENS = torch.randint(0, 7, (40, 8), generator=torch.Generator().manual_seed(0))
PROBE, LABELS = TOKENS[:10], TOKENS[:10, 0] > 2
LAYERS = {"layers": "transformer.h.*"}


def tiny_gpt2():
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=7, n_positions=8, n_embd=8, n_layer=2, n_head=2, use_cache=False, bos_token_id=0, eos_token_id=0
    )
    return GPT2LMHeadModel(config)


def training(callback, *, epochs=3, max_steps=None, first=True, best=None, done=0, log_every=None, fail_at=None, **args):
    """Five steps an epoch with the real CallbackHandler, and its events in the order of `Trainer._inner_training_loop`.

    Arguments:
        max_steps: where the training is cut short.
        first: whether this is the first of several processes.
        best: weights that are loaded at the end, as with load_best_model_at_end.
        done: epochs that a resumed training has behind it.
        log_every: steps between logs; None for logs at the end of epochs.
        fail_at: the step before which the training fails.
    """
    model = tiny_gpt2().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    steps = 5 * epochs if max_steps is None else max_steps
    options = SimpleNamespace(
        logging_first_step=False, logging_strategy="no", eval_strategy="no", save_strategy="no", eval_delay=0, **args
    )
    state = TrainerState(
        max_steps=steps, num_train_epochs=epochs, global_step=5 * done, epoch=float(done), is_world_process_zero=first
    )
    state.compute_steps(SimpleNamespace(logging_steps=500, eval_steps=500, save_steps=500), steps)
    control, handler = TrainerControl(), CallbackHandler([DefaultFlowCallback, callback], model, None, optimizer, None)
    handler.on_train_begin(options, state, control)
    for epoch in range(done, epochs):
        handler.on_epoch_begin(options, state, control)
        for k in range(5):
            if state.global_step == fail_at:
                raise ZeroDivisionError
            handler.on_step_begin(options, state, control)
            batch = TOKENS[8 * k : 8 * k + 8]
            loss = model(input_ids=batch, labels=batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            state.global_step += 1
            state.epoch = epoch + (k + 1) / 5
            handler.on_step_end(options, state, control)
            if log_every and state.global_step % log_every == 0:
                handler.on_log(options, state, control, {"loss": loss.item(), "epoch": state.epoch})
            if state.global_step == steps:
                break
        handler.on_epoch_end(options, state, control)
        if log_every is None:
            handler.on_log(options, state, control, {"loss": loss.item(), "learning_rate": 0.1, "epoch": state.epoch})
            with torch.no_grad():
                value = model.eval()(input_ids=PROBE, labels=PROBE).loss.item()
            model.train()
            evaluation = {"eval_loss": value, "eval_runtime": 1.0, "eval_samples_per_second": 9.0}
            handler.on_log(options, state, control, evaluation)
            handler.on_evaluate(options, state, control, evaluation)
        if state.global_step == steps:
            break
    summary = {"train_runtime": 2.0, "train_steps_per_second": 9.0, "total_flos": 1e9, "train_loss": 1.5}
    handler.on_log(options, state, control, summary)
    if best is not None:
        model.load_state_dict(best)
    handler.on_train_end(options, state, control)
    return model


def outputs(model):
    """What leaves the first block, before tokens are averaged."""
    kept = []
    handle = model.transformer.h[0].register_forward_hook(lambda module, given, output: kept.append(output))
    with torch.no_grad():
        model.eval()(PROBE)
    handle.remove()
    return (kept[0][0] if isinstance(kept[0], tuple) else kept[0]).mean(1).numpy()


def test_epoch_by_epoch(tmp_path):
    callback = RecorderCallback(PROBE, LABELS, path=tmp_path / "run.fp", **LAYERS)
    model = training(callback)
    rec = fp.open(tmp_path / "run.fp")
    assert rec.epochs.tolist() == [0, 1, 2, 3]
    assert rec.steps.values[1:].tolist() == [5, 10, 15]
    assert (rec.attrs["epochs"], rec.layers) == (3, ("transformer.h.0", "transformer.h.1"))
    recorded = rec.activations("transformer.h.0").values[0]
    np.testing.assert_allclose(recorded[0], outputs(tiny_gpt2()), atol=1e-6)
    np.testing.assert_allclose(recorded[-1], outputs(model), atol=1e-6)
    assert np.isfinite(rec.gradients["gradient_std"].values[0, 1:]).all()


def test_logs_belong_to_the_epoch_that_they_were_made_of():
    """The loss that is evaluated after an epoch is that of the model that is recorded there, though its log comes late."""
    callback = RecorderCallback({"input_ids": PROBE}, layers="lm_head", reduce="tokens")
    training(callback)
    rec = callback.recording
    assert set(rec.metrics.data_vars) == {"loss", "learning_rate", "eval_loss"}  # no clocks, no summary
    logits = torch.tensor(rec.activations("lm_head").values[0, 1:]).reshape(3, *PROBE.shape, 7)
    expected = [torch.nn.functional.cross_entropy(each[:, :-1].flatten(0, 1), PROBE[:, 1:].flatten()) for each in logits]
    np.testing.assert_allclose(rec.metrics["eval_loss"][0], expected, rtol=1e-5)
    assert rec.metrics["train_epoch"].values.tolist() == [1, 2, 3]


def test_every_so_many_steps():
    """Fifteen steps in units of four: 4, 8, 12, and the last, cut short."""
    callback = RecorderCallback(PROBE, LABELS, every=4, **LAYERS)
    model = training(callback, log_every=1)
    rec = callback.recording
    assert rec.epochs.tolist() == [0, 1, 2, 3, 4]
    assert rec.steps.values[1:].tolist() == [4, 8, 12, 15]
    assert rec.attrs["epochs"] == 4
    assert np.isfinite(rec.metrics["loss"]).all()
    np.testing.assert_allclose(rec.activations("transformer.h.0").values[0, -1], outputs(model), atol=1e-6)


@pytest.mark.parametrize("every", [None, 5])
def test_the_last_snapshot_is_of_the_last_epoch_where_the_best_model_is_loaded(every):
    callback = RecorderCallback(PROBE, LABELS, every=every, **LAYERS)
    best = {name: torch.zeros_like(values) for name, values in tiny_gpt2().state_dict().items()}
    training(callback, best=best)
    assert callback.recording.epochs.tolist() == [0, 1, 2, 3]
    assert np.abs(callback.recording.activations("transformer.h.0").values[0, -1]).max() > 0.01


def test_a_training_cut_short_in_the_middle_of_an_epoch():
    callback = RecorderCallback(PROBE, LABELS, **LAYERS)
    training(callback, max_steps=7)
    assert callback.recording.epochs.tolist() == [0, 1, 2]
    assert callback.recording.steps.values[1:].tolist() == [5, 7]


def test_training_is_the_same_with_and_without():
    """The tiny model has dropout: a probe that drew random numbers would show."""
    with_recorder, without = training(RecorderCallback(PROBE, LABELS, **LAYERS)), training(DefaultFlowCallback())
    for one, other in zip(with_recorder.parameters(), without.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_process_records_nothing(tmp_path):
    training(RecorderCallback(PROBE, LABELS, path=tmp_path / "run.fp", **LAYERS), first=False)
    assert not (tmp_path / "run.fp").exists()


def test_a_training_that_goes_on(tmp_path):
    path = tmp_path / "run.fp"
    training(RecorderCallback(PROBE, LABELS, path=path, epochs=4, **LAYERS), epochs=2)
    training(RecorderCallback(PROBE, LABELS, path=path, mode="resume", **LAYERS), epochs=4, done=2)
    assert fp.open(path).epochs.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match=r"a training that continues after epoch 2, expected mode='resume'"):
        training(RecorderCallback(PROBE, LABELS, **LAYERS), epochs=4, done=2)


def test_after_an_error_close_frees_the_recording(tmp_path):
    path = tmp_path / "run.fp"
    callback = RecorderCallback(PROBE, LABELS, path=path, **LAYERS)
    with pytest.raises(ZeroDivisionError):
        training(callback, fail_at=12)
    callback.close()
    assert fp.open(path).epochs.tolist() == [0, 1, 2]
    training(RecorderCallback(PROBE, LABELS, path=path, mode="overwrite", **LAYERS), epochs=1)
    assert fp.open(path).epochs.tolist() == [0, 1]


@pytest.mark.parametrize("split", ["fsdp", "deepspeed"])
def test_a_model_split_between_processes_is_refused(split):
    with pytest.raises(InputError, match="args: found FSDP or DeepSpeed"):
        training(RecorderCallback(PROBE, LABELS), **{split: "full_shard"})


def test_what_is_refused():
    with pytest.raises(InputError, match="every: found 0"):
        RecorderCallback(PROBE, every=0)
