"""What plan.py computes with.

machines      facts about accelerators, as their makers publish them
costs         one training step: flops, bytes, memory, exchange
compiled      reads them from a compiled program's text (TPUs, whose compiler runs anywhere)
traced        counts them in a traced program (GPUs, whose compiler needs one)
input_speed   crops a second that one core of this machine makes
waiting       what is said meanwhile
"""
