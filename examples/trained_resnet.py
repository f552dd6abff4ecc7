"""ResNet-20 on CIFAR-10, trained here: pruneframe train resnet20-trained --short -p examples/trained_resnet.py

The weights of `resnet20-cifar10` are published, one network on many splits; here every instance is trained by itself.
"""

import pruneframe as pf
from pruneframe_problems.cifar_resnet import RECIPE, resnet
from pruneframe_problems.datasets import CIFAR10, SHORT


@pf.hookimpl
def pruneframe_problems():
    weights = pf.Trained(RECIPE, short=SHORT, precision="bfloat16")
    return [pf.Problem("resnet20-trained", resnet(20, CIFAR10.classes, "A"), CIFAR10.held(), weights=weights)]
