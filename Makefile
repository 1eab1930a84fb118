# SPDX-License-Identifier: GPL-3.0-or-later
# What is done with a checkout. Nothing is installed outside it but Debian packages; nothing is fetched but by apt and pip.

PYTHON ?= python3
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export PYTHON
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Not ~/.ansible, which all checkouts and all runs of Ansible on this computer share. The sockets of SSH connections stay
# there, because the path of a socket may have no more than about 100 characters.
export ANSIBLE_HOME := $(CURDIR)/.ansible
export ANSIBLE_SSH_CONTROL_PATH_DIR ?= ~/.ansible/cp

# kvm, uml or tcg: what runs the nodes of the lab. Without it, the best that works.
ACCEL ?=
ifneq ($(ACCEL),)
export ONECC_LAB_ACCEL := $(ACCEL)
endif

# So that `make clean` can end it, should whoever starts it be killed.
starts-lab = @mkdir -p .cache/labs; touch .cache/labs/$(1)

.PHONY: help venv lab-deps lab-kernel fabric-deps sshd demo test lint units sanity lab-tests integration thorough molecule faults nccl bench build docs clean distclean

help: ## lists the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r target text; do \
	  printf 'make %-12s %s\n' "$$target" "$$text"; done

venv: ## makes .venv, with all that is needed from PyPI (PYTHON=python3.12 picks a Python)
	@tests/tools/venv

lab-deps: ## installs the Debian packages that the lab needs
	@tests/tools/apt-install $$(grep -v '^#' tests/lab/debian-packages.txt)

lab-kernel: venv lab-deps ## builds the kernel that nodes run where there is no KVM, where it is needed and not built yet
	@if tests/lab/onecc-lab kernel --wanted; then \
	  tests/tools/apt-install $$(grep -v '^#' tests/lab/kernel-packages.txt); \
	  tests/lab/onecc-lab kernel || echo 'Nodes will be emulated, about ten times slower.'; fi

fabric-deps:
	@tests/tools/apt-install $$(grep -v '^#' tests/integration/debian-packages.txt)

sshd:
	@tests/tools/unpacked-sshd

demo: lab-kernel ## starts a virtual cluster, brings it to its declared state, and shows what the second run costs
	tests/lab/demo

test: venv lab-deps ## all of lint, units, sanity, lab-tests, integration and molecule, and how long each took
	@tests/tools/steps lint+units+sanity lab-tests integration molecule

lint: venv ## style and documentation: Ansible, YAML, Python, shell, changelog, README of each role
	ANSIBLE_INVENTORY=/dev/null ansible-lint # asks no API which nodes there are
	yamllint --strict .
	ruff check
	git -c safe.directory='*' grep --untracked -lzIE '^#!.*\b(ba)?sh\b' | \
	  xargs -0 awk 'FNR == 1 { if (/^#!/) print FILENAME; nextfile }' | xargs -d '\n' shellcheck
	antsibull-changelog lint
	antsibull-docs lint-collection-docs --plugin-docs .
	tests/tools/role-readme --check
	tests/tools/fabric-pictures --check

units: venv ## unit tests
	python -m pytest -n 2 tests/unit

sanity: venv ## ansible-test's own checks of plugins, documentation and imports
	tests/tools/ansible-test sanity

lab-tests: lab-kernel ## tests of the lab: its API, its package repositories, its machines
	python -m pytest -n 2 --dist loadfile tests/lab/tests -m "not thorough"

integration: lab-kernel fabric-deps sshd ## playbooks on the virtual machines of a lab, and over real SSH
	python -m pytest -v -n 2 --dist loadfile --durations=30 tests/integration -m "not thorough"

thorough: lab-kernel fabric-deps sshd ## the same, with each way to change a node behind its back, more layouts, fifty power cuts; unit tests by ansible-test
	tests/tools/ansible-test units
	python -m pytest -v tests/lab/tests/test_vm.py --cuts 50
	python -m pytest -v -n 2 --dist loadfile --durations=30 tests/integration

molecule: lab-kernel ## the scenarios below molecule/, on QEMU nodes with Debian's own kernel
	$(call starts-lab,molecule)
	molecule test --all

faults: lab-kernel ## cuts a node's power at 20 moments of a run, and looks whether the next run mends it
	python -m pytest -v tests/integration/test_power_cuts.py --moments 20

nccl: venv ## asks NCCL's real libraries, by pip into .cache, what they read and which variables they have; needs no GPU
	python -m pytest -v -rs tests/nccl

bench: venv sshd ## CPU time of a run that changes nothing, beside bare ssh and stock tasks, and of the inventory, as ratios
	@tests/tools/apt-install openssh-client python3-apt
	python tests/bench/bench.py

build: venv ## the collection as a tarball, in build/
	output="$$PWD/build"; cd "$$(tests/tools/collection-tree .cache/build)"; ansible-galaxy collection build --force --output-path "$$output"

docs: venv ## writes the README of each role from its argument specification, and draws the pictures of docs/fabric.md
	tests/tools/role-readme
	tests/tools/fabric-pictures

clean: ## ends the lab that was started here, and removes all that was made in the checkout
	@tests/tools/clean

distclean: clean ## the same, and removes the lab's disk images and kernel
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/onecc-lab"
