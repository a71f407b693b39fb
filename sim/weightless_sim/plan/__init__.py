"""The architect's question: what would a decoder give a network, an array and a memory of one's own?"""
