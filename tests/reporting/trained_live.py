"""A training process to look at: `python trained_live.py PATH EPOCHS SECONDS MODE` trains a small model, an epoch in about
this many seconds, and prints when each ended."""

import sys
import time

import torch

import flowplane as fp


def main(path: str, epochs: int, seconds: float, mode: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    inputs = torch.randn(120, 8)
    labels = (inputs[:, 0] * inputs[:, 1] > 0).long()
    model = torch.nn.Sequential(torch.nn.Linear(8, 12), torch.nn.Tanh(), torch.nn.Linear(12, 2))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    with fp.Recorder(model, inputs, labels, path=path, epochs=epochs, snapshots=epochs + 1, mode=mode) as recorder:
        for epoch in range(len(fp.open(path).epochs) if mode == "resume" else 1, epochs + 1):
            for part in torch.arange(120).split(40):
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(model(inputs[part]), labels[part])
                loss.backward()
                optimizer.step()
            recorder.step(epoch=epoch, loss=loss.item())
            print(epoch, time.time(), flush=True)
            time.sleep(seconds)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
