"""The modules of plan.py.

machines      data sheets of accelerators
costs         one training step: flops, bytes, memory, exchange
compiled      reads them from the text of a compiled program (TPUs; their compiler runs anywhere)
traced        counts them in a traced program (GPUs; their compiler needs a GPU)
input_speed   how many crops one core of this machine makes in a second
waiting       messages during long work
"""
