"""LoRA adapters: what they were trained under, how several become one exactly, and loading them with that checked.
Reward models beside them, which are such an adapter with a head, or all weights.

Needs torch and peft (the extra `train`), except for pins and model cards. Nothing is imported here.
"""
