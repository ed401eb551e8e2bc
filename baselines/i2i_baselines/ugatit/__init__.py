"""U-GAT-IT, full and light (Kim, Kim, Kang, Lee, ICLR 2020, 1907.10830)."""
