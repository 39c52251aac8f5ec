"""Closed forms: what training must do, by formula, each with its conditions and its source.

| module         | what it knows                                                                    |
| -------------- | -------------------------------------------------------------------------------- |
| `descent`      | gradient descent on a quadratic: whole curves, stability limits, range tests     |
| `optimizers`   | the path of every optimizer under given gradients; clipping, decay, averages     |
| `schedules`    | the learning rate at every update                                                |
| `networks`     | what a net can and cannot represent; identities of its gradients                 |
| `initializers` | the variance of the first weights, and the signal that they let through          |
| `minibatches`  | mean and noise of a batch's gradient, noise floors, the best rate of a batch     |
| `tradeoff`     | updates against samples over batch sizes, and where they balance                 |
| `losses`       | losses and metrics by their definitions                                          |

Pure functions of NumPy arrays in float64. None of them knows Keras: they are what Keras is held to.
Where Keras has a form of its own (Adam's ε, the decay of RMSprop), the function has Keras' form and
names the file.
"""
