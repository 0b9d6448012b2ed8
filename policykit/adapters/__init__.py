"""LoRA adapters: what they were trained under, how several become one exactly, and loading them with that checked.

Needs torch and peft (the extra `train`), except for pins and model cards. Nothing is imported here.
"""
