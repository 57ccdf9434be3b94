"""The region interactive module as it is usually written: every box has its own copy of the image, box after box.

It takes the weights of ``RegionInteractiveModule`` and gives its output; slow, and easy to compare with the equations.
"""

import torch
import torch.nn.functional as F


def attend(attention, query, key, value):
    q, k, v = (
        attention.split(projection(x)).transpose(-3, -2)
        for projection, x in ((attention.q_proj, query), (attention.k_proj, key), (attention.v_proj, value))
    )
    return attention.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(-3, -2).flatten(-2))


def one_box(module, corners, image, positions):
    """``[2, C]`` corners and ``[T, C]`` features to ``[2, C]``."""
    tokens = corners
    for block in module.blocks:
        if block.first:
            tokens = attend(block.self_attention, tokens, tokens, tokens)
        else:
            tokens = tokens + attend(block.self_attention, tokens + corners, tokens + corners, tokens)
        tokens = block.self_norm(tokens)
        keys = image + positions
        tokens = block.token_norm(tokens + attend(block.token_to_image, tokens + corners, keys, image))
        tokens = block.mlp_norm(tokens + block.mlp(tokens))
        image = block.image_norm(image + attend(block.image_to_token, keys, tokens + corners, tokens))
    return module.final_norm(tokens + attend(module.final_attention, tokens + corners, image + positions, image))


def plain_rim(module, corners, features, image_index, positions):
    """``RegionInteractiveModule.forward``, by a loop over the boxes."""
    return torch.stack(
        [
            one_box(module, box, features[image], positions)
            for box, image in zip(corners, image_index.tolist(), strict=True)
        ]
    )
