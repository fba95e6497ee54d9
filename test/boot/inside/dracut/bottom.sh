#!/bin/sh
/lab/root_found.sh
