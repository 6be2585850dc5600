"""Every flight that left New York City in 2013, with the weather, the aircraft, the airports and the airlines."""
