"""A network that is trained here: pruneframe train resnet20-trained --short -p examples/trained_resnet.py"""

import pruneframe as pf
from pruneframe_problems.cifar_resnet import CifarResNet

RECIPE = pf.Recipe(
    epochs=182,
    learning_rate=0.1,
    weight_decay=1e-4,
    schedule="steps",  # a tenth of the rate after one half and after three quarters
    crop=4,
    flip=True,
    source="He et al., CVPR 2016, section 4.2: 64,000 steps of 128 of 45,000 images",
)
SHORT = pf.Recipe(
    epochs=5,
    learning_rate=0.2,
    schedule="one-cycle",
    warmup=1,
    crop=4,
    flip=True,
    source="a short form of ours, for one core",
)


def data(instance):
    train, test = pf.cifar10()
    search, rest = train.stratified(5000, instance)  # held out before training
    return pf.Data(rest, search, test, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@pf.hookimpl
def pruneframe_problems():
    weights = pf.Trained(RECIPE, short=SHORT, precision="bfloat16")
    return [pf.Problem("resnet20-trained", lambda: CifarResNet(3), pf.Splits(data), weights=weights)]
