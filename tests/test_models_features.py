"""Extractors of features, frozen parts and ensembles."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import models, nn
from fastconv.models.feature_extraction import create_feature_extractor, get_graph_node_names


def small(**options: Any) -> Any:
    return models.resnet18(num_classes=5, **options)


def test_features() -> None:
    net = small().eval()
    x = fc.rand(2, 3, 33, 33)
    extractor = create_feature_extractor(net, {"layer1": "low", "layer3.0.conv2": "mid", "fc": "y"})
    found = extractor(x)
    assert list(found) == ["low", "mid", "y"]
    assert found["low"].shape == (2, 64, 9, 9) and found["mid"].shape == (2, 256, 3, 3)
    assert fc.equal(found["y"], net(x))
    low = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(x)))))
    assert fc.equal(found["low"], low)
    assert not any(module._forward_hooks for module in net.modules())  # nothing is left behind


def test_gradients_flow_through_features() -> None:
    net = small()
    x = fc.rand(2, 3, 33, 33, requires_grad=True)
    create_feature_extractor(net, ["layer2"])(x)["layer2"].sum().backward()
    assert x.grad is not None and net.layer2[0].conv1.weight.grad is not None
    assert net.layer3[0].conv1.weight.grad is None and net.fc.weight.grad is None


def test_an_extractor_is_the_network_itself() -> None:
    net = small()
    extractor = create_feature_extractor(net, "layer1")
    assert list(extractor.state_dict()) == list(net.state_dict())
    assert next(extractor.parameters()) is next(net.parameters())
    extractor.eval()
    assert not net.training and not net.layer1.training
    extractor.double()
    assert net.fc.weight.dtype == fc.float64
    x = fc.rand(1, 3, 33, 33, dtype=fc.float64)
    expected = extractor(x)["layer1"]
    for twin in (copy.deepcopy(extractor), pickle.loads(pickle.dumps(extractor))):
        assert fc.equal(twin(x)["layer1"], expected)
        with fc.no_grad():
            twin.conv1.weight.zero_()
        assert not fc.equal(twin(x)["layer1"], expected)  # the twin's network changed with it,
        assert fc.equal(extractor(x)["layer1"], expected)  # and this one did not


def test_calls_of_one_module() -> None:
    """A ReLU that serves three times has three results; a group of modules its last one."""
    net = models.resnet50(num_classes=5).eval()
    block = net.layer1[0]
    names = ["layer1.0.relu", "layer1.0.relu_1", "layer1.0.relu_2", "layer1.0"]
    found = create_feature_extractor(net, names)(fc.rand(1, 3, 33, 33))
    assert [found[name].shape[1] for name in names] == [64, 64, 256, 256]
    assert fc.equal(found["layer1.0.relu_2"], found["layer1.0"])
    inner = block.relu(block.bn2(block.conv2(found["layer1.0.relu"])))
    assert fc.equal(inner, found["layer1.0.relu_1"])
    with pytest.raises(RuntimeError, match=r"'layer1.0.relu_3' was not reached.*called 3 times"):
        create_feature_extractor(net, ["layer1.0.relu_3"])(fc.rand(1, 3, 33, 33))


def test_training_and_evaluation_differ() -> None:
    net = models.googlenet(num_classes=5)
    extractor = create_feature_extractor(
        net, train_return_nodes=["fc", "aux1"], eval_return_nodes={"fc": "scores"}
    )
    x = fc.rand(2, 3, 65, 65)
    assert list(extractor(x)) == ["fc", "aux1"]
    assert list(extractor.eval()(x)) == ["scores"]
    with pytest.raises(RuntimeError, match=r"'aux1' was not reached.*evaluation"):
        create_feature_extractor(net, ["aux1"])(x)


def test_extractors_in_threads() -> None:
    net = small().eval()
    extractor = create_feature_extractor(net, ["layer1", "fc"])
    images = [fc.rand(1, 3, 33, 33) for _ in range(4)]
    with fc.no_grad():
        expected = [extractor(x) for x in images]
    found: dict[int, Any] = {}

    def run(i: int) -> None:
        with fc.no_grad():
            for _ in range(5):
                found[i] = extractor(images[i])

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, result in enumerate(expected):
        for key, value in result.items():
            assert fc.equal(found[i][key], value)


def test_wrong_features() -> None:
    net = small()
    for nodes, text in (
        (["layer5"], "no module is named 'layer5'; did you mean"),
        (["layer1_x"], "no module is named"),
        ([], "must name modules"),
        ({"layer1": 1}, "must name modules"),
        ({"layer1": "a", "layer2": "a"}, "cannot have one name"),
        ([""], "no module is named"),
    ):
        with pytest.raises(ValueError, match=text):
            create_feature_extractor(net, nodes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be given"):
        create_feature_extractor(net)
    with pytest.raises(ValueError, match="must be given"):
        create_feature_extractor(net, train_return_nodes=["fc"])
    with pytest.raises(ValueError, match="cannot be given together"):
        create_feature_extractor(net, ["fc"], ["fc"], ["fc"])
    with pytest.raises(TypeError, match="model must be a Module, got int"):
        create_feature_extractor(3, ["fc"])  # type: ignore[arg-type]


def test_node_names() -> None:
    train, evaluation = get_graph_node_names(small())
    assert train == evaluation and "layer2.0.downsample.1" in train
    create_feature_extractor(small(), train)


def test_intermediate_layers() -> None:
    net = small().eval()
    getter = models.IntermediateLayerGetter(net, {"layer1": "low", "layer3": "high"})
    assert list(getter) == ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"]
    x = fc.rand(1, 3, 33, 33)
    found = getter(x)
    expected = create_feature_extractor(net, {"layer1": "low", "layer3": "high"})(x)
    assert list(found) == ["low", "high"]
    assert all(fc.equal(found[key], expected[key]) for key in found)
    for wrong in ({"layer1.0": "a"}, {}):
        with pytest.raises(ValueError, match="return_layers must name modules among conv1"):
            models.IntermediateLayerGetter(net, wrong)


# -- frozen parts ----------------------------------------------------------------------------------


def one_step(net: Any) -> None:
    optimizer = fc.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    net.train()
    nn.functional.cross_entropy(net(fc.rand(4, 3, 33, 33)), fc.tensor([0, 1, 2, 3])).backward()
    optimizer.step()


def changed(before: dict[str, Any], net: Any) -> set[str]:
    """The direct modules in which something is not as it was."""
    after = net.state_dict()
    return {k.split(".")[0] for k, v in before.items() if not fc.equal(v, after[k])}


def test_frozen_parts_stay() -> None:
    net = small()
    assert models.freeze(net, until="layer3") is net
    before = copy.deepcopy(net.state_dict())
    one_step(net)
    assert changed(before, net) == {"layer4", "fc"}  # running statistics too
    assert net.training and net.layer4[0].bn1.training
    x = fc.rand(1, 3, 33, 33)
    twin = pickle.loads(pickle.dumps(net))
    assert fc.equal(twin.eval()(x), net.eval()(x))
    before = copy.deepcopy(twin.state_dict())
    one_step(twin)
    assert changed(before, twin) == {"layer4", "fc"}


def test_freeze_and_unfreeze() -> None:
    net = small()
    models.freeze(models.freeze(net))
    assert not any(p.requires_grad for p in net.parameters())
    assert max(len(m._forward_pre_hooks) for m in net.modules()) == 1
    net.fc.requires_grad_(True)
    before = copy.deepcopy(net.state_dict())
    one_step(net)
    assert changed(before, net) == {"fc"}
    assert models.unfreeze(net) is net and all(p.requires_grad for p in net.parameters())
    assert not any(m._forward_pre_hooks for m in net.modules())
    before = copy.deepcopy(net.state_dict())
    one_step(net)
    assert changed(before, net) == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"}


def test_freeze_inside_a_group() -> None:
    net = small()
    models.freeze(net, "layer2.0")
    assert not net.layer2[0].downsample[1].weight.requires_grad
    assert net.layer2[1].conv1.weight.requires_grad
    for wrong in ("layer9", "", "layer2.7"):
        with pytest.raises(ValueError, match=r"until must be a module's name, such as conv1"):
            models.freeze(net, wrong)


# -- ensembles -------------------------------------------------------------------------------------


def test_ensembles() -> None:
    nets = [nn.Linear(4, 3) for _ in range(3)]
    x = fc.rand(5, 4)
    outputs = np.stack([net(x).detach().numpy() for net in nets])
    together = models.Ensemble(*nets)
    np.testing.assert_allclose(together(x).detach().numpy(), outputs.mean(0), 1e-6, 1e-7)
    assert len(list(together.parameters())) == 6
    shares = np.exp(outputs) / np.exp(outputs).sum(2, keepdims=True)
    voted = models.Ensemble(*nets, probabilities=True)(x)
    np.testing.assert_allclose(voted.detach().numpy(), shares.mean(0), 1e-5)
    with pytest.raises(ValueError, match="models must not be empty"):
        models.Ensemble()
