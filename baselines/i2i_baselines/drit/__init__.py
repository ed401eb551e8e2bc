"""DRIT and DRIT++ (Lee, Tseng, Huang, Singh, Yang, ECCV 2018 and IJCV 2020)."""
