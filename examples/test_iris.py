import keras
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

x, y = load_iris(return_X_y=True)
x_train, x_val, y_train, y_val = train_test_split(x, y, random_state=0)


def build():
    return keras.Sequential(
        [
            keras.layers.Normalization(mean=x.mean(axis=0), variance=x.var(axis=0)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def test_iris(convergence):
    runs = convergence(
        build,
        data=((x_train, y_train), (x_val, y_val)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        target=("val_accuracy", 0.9),
        optimizer="adam",
        learning_rate=0.01,
        epochs=50,
    )
    assert runs.regime == "converged"
    assert runs.final("val_accuracy").quantile(0.1) >= 0.9
