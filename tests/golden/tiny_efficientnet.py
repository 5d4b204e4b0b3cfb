"""torchvision's EfficientNet of B0's depth with other widths, without numbers: for make_encoders.py and make_gradients.py. One stage is wide; the
first has no expansion, as published."""
from torchvision.models.efficientnet import EfficientNet, MBConvConfig


def tiny_efficientnet():
    setting = [MBConvConfig(expand, k, stride, 8, 8, repeats) for expand, k, stride, repeats in
               ((1, 3, 1, 1), (2, 3, 2, 2), (6, 5, 2, 2), (2, 3, 2, 3), (2, 5, 1, 3), (2, 5, 2, 4), (2, 3, 1, 1))]
    for stage, (c, o) in zip(setting, ((8, 3), (3, 4), (4, 4), (4, 3), (3, 4), (4, 5), (5, 6))):
        stage.input_channels, stage.out_channels = c, o  # MBConvConfig itself rounds to eights
    return EfficientNet(setting, dropout=0.2, last_channel=10, num_classes=3).eval()
