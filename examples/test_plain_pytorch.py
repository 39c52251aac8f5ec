import torch
from sklearn.datasets import load_iris

x, y = load_iris(return_X_y=True)
x, y = torch.tensor((x - x.mean(axis=0)) / x.std(axis=0), dtype=torch.float32), torch.tensor(y)


def train(seed):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses, accuracies = [], []
    for _ in range(100):
        outputs = model(x)
        loss = torch.nn.functional.cross_entropy(outputs, y)
        losses.append(loss.item())
        accuracies.append((outputs.argmax(1) == y).float().mean().item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"loss": losses, "accuracy": accuracies}


def test_plain_pytorch(convergence):
    runs = convergence.record(train, target=("accuracy", 0.95))
    assert runs.regime == "converged"
    assert runs.steps_to("accuracy", 0.95).max() <= 90
