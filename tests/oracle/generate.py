"""An independent oracle: the same mathematics in NumPy and PyTorch, in double precision.

Run `python3 tests/oracle/generate.py` with NumPy and PyTorch; it rewrites `vectors.txt` beside it. Each line is
`case/name dimensions : values`; the first line is the CRC-32 of this script, so that a test can tell stale vectors. With
`--check` it writes nothing, and fails where the vectors there are not those that it makes.
"""

import pathlib
import sys
import zlib

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
HERE = pathlib.Path(__file__).parent
LINES = []


def put(name, values):
    array = np.asarray(values.detach() if isinstance(values, torch.Tensor) else values, dtype=np.float64)
    dimensions = "x".join(map(str, array.shape)) or "1"
    LINES.append(f"{name} {dimensions} : " + " ".join(repr(float(v)) for v in array.ravel()))


def uniform(generator, *shape):
    # Rounded to f32, so that single precision starts from the same numbers.
    return generator.uniform(-1, 1, shape).astype(np.float32).astype(np.float64)


def leaf(array):
    return torch.tensor(array, requires_grad=True)


def linear(generator, inputs, outputs, examples):
    case = f"linear{inputs}x{outputs}"
    w, b, x = (leaf(uniform(generator, *s)) for s in [(outputs, inputs), (outputs,), (examples, inputs)])
    d_y = torch.tensor(uniform(generator, examples, outputs))
    y = torch.nn.functional.linear(x, w, b)
    y.backward(d_y)
    for name, value in dict(w=w, b=b, x=x, y=y, d_y=d_y, d_w=w.grad, d_b=b.grad, d_x=x.grad).items():
        put(f"{case}/{name}", value)


def softmax(generator, symbols, kept):
    case = f"softmax{symbols}k{kept}"
    z = leaf(4 * uniform(generator, symbols))
    clean, weight = 2 % kept, 1.25
    logits = z[:kept]
    loss = weight * torch.nn.functional.cross_entropy(logits[None], torch.tensor([clean]))
    loss.backward()
    put(f"{case}/z", z)
    put(f"{case}/loss", loss)
    put(f"{case}/d_z", z.grad)


def relu(generator):
    x = leaf(uniform(generator, 20))
    d_y = torch.tensor(uniform(generator, 20))
    y = torch.relu(x)
    y.backward(d_y)
    for name, value in dict(x=x, y=y, d_y=d_y, d_x=x.grad).items():
        put(f"relu/{name}", value)


def gelu(generator):
    x = leaf(4 * uniform(generator, 24))
    d_y = torch.tensor(uniform(generator, 24))
    y = torch.nn.functional.gelu(x, approximate="tanh")
    y.backward(d_y)
    for name, value in dict(x=x, y=y, d_y=d_y, d_x=x.grad).items():
        put(f"gelu/{name}", value)


# Activations of the transformer have the positions innermost: features × positions.


def product(generator, inputs, outputs, positions):
    case = f"product{inputs}x{outputs}x{positions}"
    w, x = (leaf(uniform(generator, *s)) for s in [(outputs, inputs), (inputs, positions)])
    d_y = torch.tensor(uniform(generator, outputs, positions))
    y = w @ x
    y.backward(d_y)
    for name, value in dict(w=w, x=x, y=y, d_y=d_y, d_w=w.grad, d_x=x.grad).items():
        put(f"{case}/{name}", value)


def rms_norm(generator, width, positions):
    case = f"rms_norm{width}x{positions}"
    gain, x = (leaf(uniform(generator, *s)) for s in [(width,), (width, positions)])
    d_y = torch.tensor(uniform(generator, width, positions))
    y = torch.nn.functional.rms_norm(x.T, (width,), gain, eps=1e-5).T
    y.backward(d_y)
    for name, value in dict(gain=gain, x=x, y=y, d_y=d_y, d_gain=gain.grad, d_x=x.grad).items():
        put(f"{case}/{name}", value)


def attention(generator, width, positions):
    case = f"attention{width}x{positions}"
    q, k, v = (leaf(2 * uniform(generator, width, positions)) for _ in range(3))
    d_y = torch.tensor(uniform(generator, width, positions))
    y = torch.nn.functional.scaled_dot_product_attention(q.T[None], k.T[None], v.T[None])[0].T
    y.backward(d_y)
    for name, value in dict(q=q, k=k, v=v, y=y, d_y=d_y, d_q=q.grad, d_k=k.grad, d_v=v.grad).items():
        put(f"{case}/{name}", value)


def batch_of(generator, rows, positions, symbols):
    """Clean symbols, which are masked, and the weight of each position's loss."""
    clean = generator.integers(0, symbols, (rows, positions))
    masked = generator.random((rows, positions)) < 0.6
    masked[0] = True
    weights = np.where(masked, (0.25 + np.arange(positions) / 8)[None, :], 0.0)
    weights[1] = 0.5
    return clean, masked, weights


def masked_loss(logits, clean, weights, symbols):
    """Weighted cross-entropy over the alphabet's symbols only; one loss for each row."""
    log_p = torch.log_softmax(logits[..., :symbols], dim=-1)
    picked = log_p.gather(-1, torch.tensor(clean)[..., None])[..., 0]
    return -(torch.tensor(weights) * picked).sum(-1)


def put_training(case, parameters, forward, clean, masked, weights, symbols, rates, weight_decay):
    """Logits, losses, gradients, and the parameters after each of a few AdamW steps on the same batch."""
    put(f"{case}/clean", clean)
    put(f"{case}/masked", masked)
    put(f"{case}/weights", weights)
    for name, value in parameters.items():
        put(f"{case}/{name}", value)
    optimiser = torch.optim.AdamW(parameters.values(), lr=1.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay)
    for step, rate in enumerate(rates):
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        logits = forward(parameters)
        losses = masked_loss(logits, clean, weights, symbols)
        losses.sum().backward()
        if step == 0:
            put(f"{case}/logits", logits)
            put(f"{case}/losses", losses)
            for name, value in parameters.items():
                put(f"{case}/d_{name}", value.grad)
        optimiser.step()
        for name, value in parameters.items():
            put(f"{case}/step{step + 1}.{name}", value)


def rates(steps, peak, warm_up, floor):
    """Linear warm-up to the peak, then linear decay that reaches floor·peak at the last step."""
    rising = [peak * (s + 1) / warm_up for s in range(warm_up)]
    return rising + [float(r) for r in np.linspace(peak, floor * peak, steps - warm_up)]


def mlp(generator, positions, symbols, hidden, rows, kept):
    case = f"mlp{positions}x{symbols}x{hidden}"
    clean, masked, weights = batch_of(generator, rows, positions, kept)
    shapes = dict(
        input=(positions, symbols, hidden),
        hidden_bias=(hidden,),
        output=(positions, symbols, hidden),
        output_bias=(positions, symbols),
    )
    parameters = {name: leaf(uniform(generator, *shape)) for name, shape in shapes.items()}

    def forward(p):
        # A dense layer over one-hot symbols, all zeros where a position is masked.
        one_hot = torch.nn.functional.one_hot(torch.tensor(clean), symbols).double() * torch.tensor(~masked)[..., None]
        h = torch.relu(torch.einsum("blv,lvh->bh", one_hot, p["input"]) + p["hidden_bias"])
        return torch.einsum("bh,lvh->blv", h, p["output"]) + p["output_bias"]

    put_training(case, parameters, forward, clean, masked, weights, kept, rates(3, 0.01, 1, 0.5), 0.1)


def residual(generator, positions, symbols, hidden, rows, kept):
    case = f"residual{positions}x{symbols}x{hidden}"
    clean, masked, weights = batch_of(generator, rows, positions, kept)
    shapes = dict(
        input=(positions, symbols, hidden),
        hidden_bias=(hidden,),
        residual=(hidden, hidden),
        residual_bias=(hidden,),
        output=(positions, symbols, hidden),
        output_bias=(positions, symbols),
    )
    parameters = {name: leaf(uniform(generator, *shape)) for name, shape in shapes.items()}

    def forward(p):
        one_hot = torch.nn.functional.one_hot(torch.tensor(clean), symbols).double() * torch.tensor(~masked)[..., None]
        first = torch.relu(torch.einsum("blv,lvh->bh", one_hot, p["input"]) + p["hidden_bias"])
        h = first + torch.relu(torch.nn.functional.linear(first, p["residual"], p["residual_bias"]))
        return torch.einsum("bh,lvh->blv", h, p["output"]) + p["output_bias"]

    put_training(case, parameters, forward, clean, masked, weights, kept, rates(3, 0.01, 1, 0.5), 0.1)


def transformer(generator, positions, symbols, width, blocks, heads, rows, kept):
    case = f"transformer{positions}x{symbols}x{width}x{blocks}x{heads}"
    clean, masked, weights = batch_of(generator, rows, positions, kept)
    shapes = dict(
        token=(symbols, width),
        mask=(width,),
        position=(positions, width),
        attention_gain=(blocks, width),
        query_key_value=(blocks, 3, width, width),
        attention_output=(blocks, width, width),
        mlp_gain=(blocks, width),
        up=(blocks, 4, width, width),
        down=(blocks, 4, width, width),
        final_gain=(width,),
        output=(symbols, width),
    )
    parameters = {name: leaf(uniform(generator, *shape)) for name, shape in shapes.items()}

    def forward(p):
        def norm(x, gain):
            return torch.nn.functional.rms_norm(x, (width,), gain, eps=1e-5)

        def split(x):
            return x.view(rows, positions, heads, width // heads).transpose(1, 2)

        tokens = torch.cat([p["token"], p["mask"][None]])
        x = tokens[torch.tensor(np.where(masked, symbols, clean))] + p["position"]
        for block in range(blocks):
            n = norm(x, p["attention_gain"][block])
            q, k, v = (split(n @ w.T) for w in p["query_key_value"][block])
            mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v)
            # This matrix and `down` have a row for each input.
            x = x + mixed.transpose(1, 2).reshape(rows, positions, width) @ p["attention_output"][block]
            n = norm(x, p["mlp_gain"][block])
            hidden = torch.nn.functional.gelu(n @ p["up"][block].reshape(4 * width, width).T, approximate="tanh")
            x = x + hidden @ p["down"][block].reshape(4 * width, width)
        return norm(x, p["final_gain"]) @ p["output"].T

    put_training(case, parameters, forward, clean, masked, weights, kept, rates(3, 0.01, 1, 0.5), 0.1)


def convolution(generator, positions, symbols, width, layers, taps, rows, kept):
    case = f"convolution{positions}x{symbols}x{width}x{layers}x{taps}"
    clean, masked, weights = batch_of(generator, rows, positions, kept)
    shapes = dict(
        token=(symbols, width),
        mask=(width,),
        position=(positions, width),
        weight=(layers, taps, width, width),
        bias=(layers, width),
        output=(symbols, width),
        output_bias=(symbols,),
    )
    parameters = {name: leaf(uniform(generator, *shape)) for name, shape in shapes.items()}

    def forward(p):
        tokens = torch.cat([p["token"], p["mask"][None]])
        x = (tokens[torch.tensor(np.where(masked, symbols, clean))] + p["position"]).transpose(1, 2)
        for weight, bias in zip(p["weight"], p["bias"]):
            # PyTorch has the taps last.
            x = x + torch.nn.functional.conv1d(torch.relu(x), weight.permute(1, 2, 0), bias, padding=taps // 2)
        return torch.relu(x).transpose(1, 2) @ p["output"].T + p["output_bias"]

    put_training(case, parameters, forward, clean, masked, weights, kept, rates(3, 0.01, 1, 0.5), 0.1)


def main():
    generator = np.random.default_rng(20240601)
    linear(generator, 37, 11, 3)
    linear(generator, 66, 4, 2)
    softmax(generator, 19, 19)
    softmax(generator, 27, 20)
    relu(generator)
    mlp(generator, 3, 5, 7, 4, 5)
    mlp(generator, 2, 4, 70, 3, 3)
    gelu(generator)
    product(generator, 19, 9, 18)
    product(generator, 3, 7, 5)
    rms_norm(generator, 6, 18)
    attention(generator, 3, 5)
    attention(generator, 8, 17)
    residual(generator, 3, 5, 16, 4, 4)
    transformer(generator, 3, 5, 4, 2, 2, 4, 5)
    transformer(generator, 17, 4, 6, 1, 3, 3, 3)
    convolution(generator, 5, 4, 6, 2, 3, 4, 4)
    convolution(generator, 17, 5, 4, 1, 5, 3, 3)
    lines = [f"crc32 {zlib.crc32(pathlib.Path(__file__).read_bytes()):08x}"] + LINES
    if "--check" in sys.argv:
        check((HERE / "vectors.txt").read_text().splitlines(), lines)
    else:
        (HERE / "vectors.txt").write_text("\n".join(lines) + "\n")


def check(found, expected):
    """Fails unless the lines agree, their numbers to the last digits: another version may add in another order."""
    if len(found) != len(expected):
        sys.exit(f"vectors.txt has {len(found)} lines and should have {len(expected)}")
    for ours, theirs in zip(found, expected):
        (name, _, ours), (other, _, theirs) = ours.partition(" : "), theirs.partition(" : ")
        ours, theirs = (np.array(numbers.split(), dtype=np.float64) for numbers in (ours, theirs))
        if name != other or ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=1e-12, atol=1e-12):
            sys.exit(f"vectors.txt is stale at {name}; renew it with: python3 tests/oracle/generate.py")
    print(f"{len(found) - 1} vectors are those that NumPy {np.__version__} and PyTorch {torch.__version__} give")


main()
