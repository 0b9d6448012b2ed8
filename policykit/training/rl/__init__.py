"""Training by rewards: rollouts, policy gradients that are exact under masks, and the trainers made of them.

Needs torch and transformers; the trainers over TRL need that too. Nothing is imported here.
"""
