"""The Trainer of transformers itself, on a tiny GPT-2 with random weights. Nothing is downloaded."""

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

import flowplane as fp
from flowplane.integrations.transformers import RecorderCallback

TOKENS = torch.randint(0, 7, (40, 8), generator=torch.Generator().manual_seed(0))
DATA = [{"input_ids": row, "labels": row} for row in TOKENS]
PROBE = TOKENS[:10]


def trained(callback, folder, **arguments):
    """Five steps an epoch, three epochs if nothing else is said."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=7, n_positions=8, n_embd=8, n_layer=2, n_head=2, use_cache=False, bos_token_id=0, eos_token_id=0
    )
    defaults = {"num_train_epochs": 3, "logging_strategy": "epoch", "save_strategy": "no"}
    options = TrainingArguments(
        output_dir=str(folder / "out"),
        per_device_train_batch_size=8,
        per_device_eval_batch_size=10,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        seed=0,
        **(defaults | arguments),
    )
    callbacks = [] if callback is None else [callback]
    trainer = Trainer(
        model=GPT2LMHeadModel(config), args=options, train_dataset=DATA, eval_dataset=DATA[:10], callbacks=callbacks
    )
    trainer.train()
    return trainer


def test_epochs_steps_and_logs(tmp_path):
    callback = RecorderCallback({"input_ids": PROBE}, path=tmp_path / "run.fp", layers="lm_head", reduce="tokens")
    trained(callback, tmp_path, eval_strategy="epoch")
    rec = fp.open(tmp_path / "run.fp")
    assert rec.epochs.tolist() == [0, 1, 2, 3]
    assert rec.steps.values[1:].tolist() == [5, 10, 15]
    assert {"loss", "eval_loss", "learning_rate"} <= set(rec.metrics.data_vars)
    assert not any(name.endswith(("_runtime", "_per_second", "_flos")) for name in rec.metrics.data_vars)
    logits = torch.tensor(rec.activations("lm_head").values[0, 1:]).reshape(3, *PROBE.shape, 7)
    expected = [torch.nn.functional.cross_entropy(each[:, :-1].flatten(0, 1), PROBE[:, 1:].flatten()) for each in logits]
    # the Trainer divides by all tokens, of which the first of each sentence is never predicted
    predicted = (PROBE.shape[1] - 1) / PROBE.shape[1]
    np.testing.assert_allclose(rec.metrics["eval_loss"][0], predicted * np.array(expected), rtol=1e-4)


def test_units_of_four_steps_and_a_best_model_at_the_end(tmp_path):
    """Three epochs of five steps; the best model is loaded before the callback hears of the end."""
    callback = RecorderCallback(PROBE, layers="transformer.h.*", every=4)
    trained(callback, tmp_path, load_best_model_at_end=True, eval_strategy="epoch", save_strategy="epoch", learning_rate=1.0)
    rec = callback.recording
    assert rec.steps.values[1:].tolist() == [4, 8, 12, 15]
    last = rec.activations("transformer.h.0").values[0]
    assert not np.allclose(last[-1], last[-2])


@pytest.mark.parametrize("arguments", [{}, {"gradient_accumulation_steps": 2}])
def test_training_is_the_same_with_and_without(tmp_path, arguments):
    models = [trained(callback, tmp_path, **arguments).model for callback in (None, RecorderCallback(PROBE))]
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)
