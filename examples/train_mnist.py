"""Train a LeNet on handwritten digits: the whole loop, nothing hidden.

    python examples/train_mnist.py

takes some seconds and no network: 5,000 digits come with the package. `tinygrad_cnn.train.fit` is this loop with a
progress bar, checkpoints and a schedule; ``tinygrad-cnn demo`` is that with all of MNIST and a report.
"""

import tinygrad_cnn as tg
from tinygrad_cnn import data, models, optim

tg.manual_seed(0)
digits = data.MNIST(subset=True)
held_out = data.MNIST(train=False, subset=True)

net = models.LeNet()
optimizer = optim.SGD(net.parameters(), lr=0.03, momentum=0.9)
for epoch in range(3):
    for images, labels in data.DataLoader(digits, batch_size=64, shuffle=True):
        optimizer.zero_grad()
        loss = tg.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
    with tg.no_grad():
        wrong = sum(int((net(images).argmax(1) != labels).sum()) for images, labels in data.DataLoader(held_out, 500))
    print(f"epoch {epoch + 1}: {100 * wrong / len(held_out):.1f} % of the {len(held_out):,} held-out digits are read wrongly")
