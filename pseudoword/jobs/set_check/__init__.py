"""Checks of training sets, before anything is learned from them."""
