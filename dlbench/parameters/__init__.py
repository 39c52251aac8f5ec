"""Exact parameter accounting for any Keras model: a line a layer, and totals by name.

Every count is made twice. The *closed form* computes it from a layer's arguments and input shape,
as one would by hand; the *variables* are counted by identity, so that what is shared counts once.
Where the two disagree nothing is returned.

```python
table = count_parameters(lambda: keras.applications.VGG16(weights=None))
table.unique      # 138357544, without allocating one of them
print(table)      # (3 x 3 x 3 + 1) x 64, …
```

Conventions:
- A *parameter* is a number that a layer keeps: weights, biases, and buffers (moving statistics,
  the buffers of a wrapped torch module). The state of a random number generator is neither learnt
  nor part of the function that the model computes; it is named apart, as `random_state`.
- *Trainable* is what the optimizer updates.
- A *multiply-accumulate* (MAC) is one product added to a sum: matrix products, convolutions,
  recurrent steps and attention. Bias, activation, normalisation and pooling count 0. One MAC is
  two FLOPs. Both are for one sample in inference.
- *Activations* are the numbers that the layers put out for one sample.
"""

from __future__ import annotations

from dlbench.parameters.counting import count_parameters
from dlbench.parameters.table import ParameterRow, ParameterTable

__all__ = ["ParameterRow", "ParameterTable", "count_parameters"]
