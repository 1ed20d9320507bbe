"""Recurrent layers, under PyTorch's path."""

from .recurrent import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN"]
