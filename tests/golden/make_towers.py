"""Writes tests/golden/towers: a tiny CLIP with drawn weights (drawn.py) and a WordPiece vocabulary, and the results of transformers for its two
towers; gradients in float64. Versions: torch 2.15.0, transformers 5.23.0, tokenizers 0.23.3.
    python tests/golden/make_towers.py
"""
import json, os
import drawn
import torch
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer
from transformers import CLIPConfig, CLIPModel

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.join(here, "towers")
os.makedirs(root, exist_ok=True)
WORDS = "a the red blue shirt shoe of leather cotton for men women kids , . ##s ##y soft warm light".split()
TEXTS = ["the red shirt", "A soft, warm cotton shirt for women.", "", "blue leathers", "the shoe of the kids " * 9, "light " * 7]
VISION = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, image_size=24, patch_size=8)
TEXT = dict(hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=16, max_position_embeddings=16, eos_token_id=3,
            bos_token_id=2, pad_token_id=0)
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]  # CLIP's: of the folder, and of CLIPImageProcessor
vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + WORDS
open(os.path.join(root, "vocab.txt"), "w").write("\n".join(vocab) + "\n")
open(os.path.join(root, "texts.txt"), "w").write("\n".join(TEXTS) + "\n")
config = {"model_type": "clip", "projection_dim": 6, "vision_config": {**VISION, "hidden_act": "quick_gelu"},
          "text_config": {**TEXT, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "vocab_size": len(vocab)}}
json.dump(config, open(os.path.join(root, "config.json"), "w"), indent=1)
json.dump({"do_lower_case": True, "model_max_length": 16, "tokenizer_class": "BertTokenizer"},
          open(os.path.join(root, "tokenizer_config.json"), "w"), indent=1)

g = torch.Generator().manual_seed(11)
model = CLIPModel(CLIPConfig(projection_dim=6, vision_config=config["vision_config"], text_config=config["text_config"])).eval()
drawn.write(os.path.join(root, "model"), 11, drawn.draw(model, 11, drawn.usual, {k: k for k in model.state_dict() if not k.endswith("position_ids")}))

wordpiece = BertWordPieceTokenizer(os.path.join(root, "vocab.txt"), lowercase=True)
wordpiece.enable_truncation(16)
ids = [wordpiece.encode(t).ids for t in TEXTS]
images = torch.randint(0, 256, (3, 24, 24, 3), generator=g, dtype=torch.uint8)


def pixels(kind):
    return ((images.to(kind) / 255 - torch.tensor(MEAN, dtype=kind)) / torch.tensor(STD, dtype=kind)).permute(0, 3, 1, 2)




def outputs(kind):
    """Returns {name: output} of the model in this type of numbers."""
    out = {}
    v = model.vision_model(pixels(kind), output_hidden_states=True)
    out["image_embeds"] = torch.nn.functional.normalize(model.visual_projection(v.pooler_output), dim=1)
    out["image.pooler_output"] = v.pooler_output
    out["image.last_hidden_state"] = v.last_hidden_state
    out["image.hidden_states.0"] = v.hidden_states[0]
    out["image.hidden_states.2"] = v.hidden_states[2]
    each = [model.text_model(torch.tensor([x]), output_hidden_states=True) for x in ids]
    out["text.pooler_output"] = torch.cat([o.pooler_output for o in each])
    out["text_embeds"] = torch.nn.functional.normalize(model.text_projection(out["text.pooler_output"]), dim=1)
    out["text.last_hidden_state"] = torch.cat([o.last_hidden_state[0] for o in each])
    out["text.hidden_states.1"] = torch.cat([o.hidden_states[1][0] for o in each])
    out["text.mean"] = torch.stack([o.last_hidden_state[0].mean(0) for o in each])
    return out


with torch.no_grad():
    expected = {"images": images, **outputs(torch.float32)}
    whole = model(input_ids=torch.tensor([ids[0]]), pixel_values=pixels(torch.float32))  # the outputs are those of the whole model
    assert torch.allclose(whole.text_embeds[0], expected["text_embeds"][0], atol=1e-6)
    assert torch.allclose(whole.image_embeds, expected["image_embeds"], atol=1e-6)

# The gradient of sum(c embeds), without normalisation, of texts 0 and 1 and of the images
model.double()
with torch.no_grad():
    drawn.agree({k: v for k, v in expected.items() if k != "images"}, outputs(torch.float64))
weights = torch.randn(6, generator=g)
expected["c"] = weights
pooled = torch.cat([model.text_model(torch.tensor([x])).pooler_output for x in ids[:2]])
loss = (model.text_projection(pooled) * weights.double()).sum()
loss = loss + (model.visual_projection(model.vision_model(pixels(torch.float64)).pooler_output) * weights.double()).sum()
loss.backward()
for n in ["text_projection.weight", "text_model.embeddings.token_embedding.weight", "text_model.encoder.layers.0.self_attn.q_proj.weight",
          "text_model.encoder.layers.1.mlp.fc2.weight", "visual_projection.weight", "vision_model.embeddings.class_embedding",
          "vision_model.encoder.layers.1.self_attn.v_proj.bias", "vision_model.pre_layrnorm.weight"]:
    expected["grad." + n] = model.get_parameter(n).grad
save_file({k: v.detach().clone().contiguous() for k, v in expected.items()}, os.path.join(root, "expected.safetensors"))
