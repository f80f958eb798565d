/* config.h - lwIP's tests ask for it; it is Check's own, and nothing in it is wanted. */
