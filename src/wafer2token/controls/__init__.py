"""Export rules by date: may this item go there, and why (not)?"""
